"""Every secret, and the only place that opens anything: keys, bundles, parcels, chains, messages, sealed info.

Knows how each is made, sealed and opened under the keys it is handed. Never imports session, relay, client or cli:
nothing here decides who may read, asks for the time or touches a disk.
"""
