"""Ways to tell people: one HTTP request each, whose address or token is a secret.

No message here names an address: errors go to the journal.
"""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S, TRIES, PAUSE_S = 10, 3, 2
TELEGRAM = "https://api.telegram.org"
AGAIN = (408, 429)  # and all from 500 on: the same request may succeed later
JSON = "application/json"
NO_ADDRESS = "its secret is no address that begins with http:// or https://"


class PushError(Exception):
    """Why nothing was delivered, without a secret."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow nobody: the address is the secret, and where it leads is not ours to say."""

    def redirect_request(self, *_):
        """Leave the answer as the error that it is here."""
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)


def heartbeat(secret, channel, message):
    """Say that this node watches itself, whatever it finds."""
    return urllib.request.Request(secret)


def kuma(secret, channel, message):
    """Tell Uptime Kuma's push monitor up or down, and why."""
    parts = urllib.parse.urlsplit(secret)
    asked = dict(urllib.parse.parse_qsl(parts.query))
    asked |= {"status": "up" if message["well"] else "down", "msg": message["text"], "ping": ""}
    query = urllib.parse.urlencode(asked)
    return urllib.request.Request(urllib.parse.urlunsplit(parts._replace(query=query)))


def webhook(secret, channel, message):
    """Post the whole message as JSON."""
    return _post(secret, json.dumps(message).encode(), {"Content-Type": JSON})


def ntfy(secret, channel, message):
    """Publish to ntfy's topic."""
    headers = {
        "Title": message["title"],
        "Priority": "default" if message["well"] else "high",
        "Tags": "white_check_mark" if message["well"] else "warning",
    }
    return _post(secret, message["text"].encode(), headers)


def telegram(secret, channel, message):
    """Send a message by a bot, whose token is the secret."""
    said = {"chat_id": channel["chat"], "text": f"{message['title']}\n{message['text']}"}
    url = f"{channel.get('api') or TELEGRAM}/bot{secret}/sendMessage"
    return _post(url, json.dumps(said).encode(), {"Content-Type": JSON})


def _post(url, body, headers):
    return urllib.request.Request(url, body, headers, method="POST")


KINDS = {
    "heartbeat": heartbeat,
    "kuma": kuma,
    "webhook": webhook,
    "ntfy": ntfy,
    "telegram": telegram,
}
EVERY_TIME = ("heartbeat", "kuma")
"""Those that are told at every run, because their silence tells something."""


def send(channel, secret, message, pause=time.sleep):
    """Deliver a message within a few tries; raise PushError where it was not delivered."""
    try:
        request = KINDS[channel["kind"]](secret, channel, message)
    except (ValueError, http.client.InvalidURL):
        raise PushError(NO_ADDRESS) from None
    if request.type not in ("http", "https"):
        raise PushError(NO_ADDRESS)
    for left in range(TRIES - 1, -1, -1):
        why, may_help = _tried(request)
        if why is None:
            return
        if not (left and may_help):
            raise PushError(why)
        pause(PAUSE_S)


def _tried(request):
    """Return why one request failed, or None; and whether another one may succeed."""
    try:
        with OPENER.open(request, timeout=TIMEOUT_S):
            return None, False
    except urllib.error.HTTPError as error:
        with error:
            return f"HTTP {error.code}", error.code >= 500 or error.code in AGAIN
    except urllib.error.URLError as error:
        # The reason of a failed connection is the system's; any other may quote the address.
        known = isinstance(error.reason, OSError)
        return (str(error.reason) if known else "it could not be asked"), known
    except OSError as error:
        return type(error).__name__, True
    except (http.client.HTTPException, ValueError):
        return "it did not answer with HTTP, or its secret is no address", False
