"""Where a relay keeps rooms, bundles, parcels and attachments: one contract, a store in memory and one in SQLite.

Knows rows and transactions. Never imports the hub: it stores decisions and makes none.
"""
