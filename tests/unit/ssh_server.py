"""SSH servers on loopback: one that shows keys and opens the way to other ports, as a jump host does."""

import contextlib
import socket
import threading

import paramiko

from bramble.ssh.client import _pump


class Door(paramiko.ServerInterface):
    """Let in whoever has the key, and open ways to other ports."""

    def __init__(self, transport, guest):
        self.transport, self.guest, self.asked = transport, guest, []

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if key == self.guest else paramiko.AUTH_FAILED

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        try:
            there = socket.create_connection(destination, 30)
        except OSError:
            return paramiko.OPEN_FAILED_CONNECT_FAILED
        threading.Thread(target=self._carry, args=(there,), daemon=True).start()
        return paramiko.OPEN_SUCCEEDED

    def _carry(self, there):
        channel = self.transport.accept(30)
        if channel is not None:
            _pump(there, channel)


@contextlib.contextmanager
def serving(*keys, guest=None):
    """A server that shows these keys; its port."""
    transports = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                transport = paramiko.Transport(connection)
                for key in keys:
                    transport.add_server_key(key)
                door = Door(transport, guest)
                # A client that goes during the greeting ends no test.
                with contextlib.suppress(paramiko.SSHException, EOFError):
                    transport.start_server(event=threading.Event(), server=door)
                transports.append(transport)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for transport in transports:
                transport.close()
