#!/usr/bin/python3
"""libtorrent as a peer: libtorrent_peer.py seed|leech TORRENT FOLDER ADDRESS PORT [DHT-NODE]

A leech ends with 0 when it is complete; a seed when it is told to."""
import os
import sys
import time

import libtorrent


def main(mode, torrent, folder, address, port, dht_node=None):
    lsd = "LIBTORRENT_LSD" in os.environ
    session = libtorrent.session({
        "listen_interfaces": "%s:%s" % (address, port), "outgoing_interfaces": "" if lsd else address,
        "enable_dht": bool(dht_node), "enable_lsd": lsd,
        "enable_upnp": False, "enable_natpmp": False, "allow_multiple_connections_per_ip": True, "enable_outgoing_utp": False,
        "enable_incoming_utp": False, "out_enc_policy": 2, "in_enc_policy": 2,
        # All nodes have the same address here.
        "dht_bootstrap_nodes": dht_node or "", "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False,
    })
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(torrent)
    parameters.save_path = folder
    handle = session.add_torrent(parameters)
    while True:
        status = handle.status()
        if status.errc.value():
            sys.exit("libtorrent_peer: " + status.errc.message())
        if status.is_seeding and mode == "leech":
            break
        time.sleep(0.05)
    session.pause()  # tells the tracker, and writes what is left to write
    time.sleep(0.3)


main(*sys.argv[1:])
