"""Restart llama-server as it is, and see it healthy and answering correctly; nothing is undone."""

import time

from bramble.remote import good_record, progress, serve_release, talk, vectors


def restarted(query):
    """Restart the unit; return its answer to the question, or raise GateError with what is wrong.

    Of several models each has to answer, the first one last.
    """
    serve_release.forget_failures(query["unit"])
    serve_release.start(query | {"restart": True}, query["url"])
    serve_release.have_answered(query, query["url"])
    task = vectors.task_of(good_record.text_of(query["unit_file"]))
    return serve_release.answered(query, task, query["url"])


def main(query):
    """Print the answer; or the unit's last messages, and in a last sentence what is wrong."""
    began = time.time() - 1  # older messages are about an earlier server
    try:
        progress.say(f"{query['question']} {restarted(query)}")
    except (serve_release.GateError, *talk.NONSENSE) as error:
        words = serve_release.journal(query["unit"], began)
        print(f"Last words of {query['unit']}:\n{words}", flush=True)
        progress.say(f"{query['unit']} was restarted and is not well: {error}")
        return 1
    return 0
