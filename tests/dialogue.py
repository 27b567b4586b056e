"""Conversations with canned replies: every question out, and what they come to."""

from gen.core import Completion


def hold(conversation, replies=()):
    """Hold a conversation; returns the questions and its result. All replies must be asked for."""
    asked, replies = [], list(replies)
    try:
        requests = next(conversation)
        while True:
            asked += requests
            requests = conversation.send([_completion(replies.pop(0)) for _ in requests])
    except StopIteration as stop:
        assert not replies, f"{len(replies)} replies were not asked for"
        return asked, stop.value


def reasons(grown):
    """Why each candidate came to nothing, "" where it did not."""
    return [c.failure.reason if c.failure else "" for c in grown.candidates]


def _completion(reply):
    return reply if isinstance(reply, Completion) else Completion(reply, completion_tokens=len(reply.split()))
