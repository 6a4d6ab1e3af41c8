"""Where a relay keeps rooms, bundles and parcels: one contract, a store in memory and one in SQLite.

Knows rows and transactions. Never imports the hub: it stores decisions and makes none.
"""
