#!/usr/bin/python3
"""fake_router.py NATPMP|- UPNP|-: a router that tells what it is asked, a line each.

NATPMP: ok, or a number that is added to the ports it gives. UPNP: ok; conflict, the port wanted is another's; permanent, it knows
no lease; hang, it never answers over HTTP; elsewhere, its URLs lead to another host."""
import http.server
import re
import socket
import struct
import sys
import threading
import time

PUBLIC = "203.0.113.77"
HOST = "10.0.0.1"
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
DESCRIPTION = """<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><URLBase>http://%(host)s:5000/</URLBase>
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType><controlURL>/cif</controlURL>
<eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL></service></serviceList><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service>
<serviceType>%(service)s</serviceType><controlURL>/control</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL>
</service></serviceList></device></deviceList></device></deviceList></device></root>"""


def say(*words):
    print(*words, flush=True)


def natpmp(mode):
    shift = 0 if mode == "ok" else int(mode)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("", 5351))
        while True:
            asked, source = s.recvfrom(100)
            if asked[1] == 0:
                say("natpmp address")
                s.sendto(struct.pack("!BBHI", 0, 128, 0, 1) + socket.inet_aton(PUBLIC), source)
            else:
                ours, theirs, lease = struct.unpack("!HHI", asked[4:12])
                say("natpmp", {1: "udp", 2: "tcp"}[asked[1]], ours, theirs, lease)
                given = (ours + shift if lease else 0)
                s.sendto(struct.pack("!BBHIHHI", 0, 128 + asked[1], 0, 1, ours, given, lease), source)


def ssdp(mode):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", 1900))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.255.255.250") + socket.inet_aton(HOST))
        while True:
            asked, source = s.recvfrom(2000)
            say("ssdp")
            kind = re.search(rb"ST: *(\S+)", asked)[1].decode()
            if mode != "-":
                host = "203.0.113.78" if mode == "elsewhere" else HOST
                s.sendto(("HTTP/1.1 200 OK\r\nST: %s\r\nUSN: uuid:1::%s\r\nLOCATION: http://%s:5000/desc.xml\r\n\r\n" % (
                    kind, kind, host)).encode(), source)


class Web(http.server.BaseHTTPRequestHandler):
    mode = "ok"
    protocol_version = "HTTP/1.0"

    def log_message(self, *words):
        pass

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", len(text))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        say("http GET", self.path)
        if self.mode == "hang":
            time.sleep(600)
        self.answer(200, DESCRIPTION % {"host": HOST, "service": SERVICE})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        action = self.headers["SOAPAction"].strip('"').partition("#")[2]
        fields = dict(re.findall(r"<(New\w+)>([^<]*)</", body))
        say("upnp", action, fields.get("NewProtocol", "-"), fields.get("NewExternalPort", "-"), fields.get("NewInternalPort", "-"),
            fields.get("NewInternalClient", "-"), fields.get("NewLeaseDuration", "-"))
        fault = None
        if action == "AddPortMapping" and self.mode == "conflict" and fields["NewExternalPort"] == fields["NewInternalPort"]:
            fault = 718
        if action == "AddPortMapping" and self.mode == "permanent" and fields["NewLeaseDuration"] != "0":
            fault = 725
        out = "<NewExternalIPAddress>%s</NewExternalIPAddress>" % PUBLIC if action == "GetExternalIPAddress" else ""
        inner = "<u:%sResponse xmlns:u=\"%s\">%s</u:%sResponse>" % (action, SERVICE, out, action) if not fault else \
            "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError " \
            "xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>%d</errorCode></UPnPError></detail></s:Fault>" % fault
        self.answer(500 if fault else 200, "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">"
                    "<s:Body>%s</s:Body></s:Envelope>" % inner)


Web.mode = sys.argv[2]
threads = [threading.Thread(target=ssdp, args=(sys.argv[2],), daemon=True)]
if sys.argv[1] != "-":
    threads.append(threading.Thread(target=natpmp, args=(sys.argv[1],), daemon=True))
server = http.server.ThreadingHTTPServer((HOST, 5000), Web)
for thread in threads:
    thread.start()
time.sleep(0.2)
say("ready")
server.serve_forever()
