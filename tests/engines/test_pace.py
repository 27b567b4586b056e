"""How many requests a server is given: against servers that are simulated on a clock of their own, and against real ones."""

import asyncio
import heapq
import itertools
import math
import random
from statistics import mean

import pytest
from serving import QUICK, question, serve

from gen.engines.pace import FLOOR, START, TOLD, Pace
from gen.engines.server import Server
from gen.engines.turns import Turns


class World:
    """A server of so many slots, first come, first served, answers log-normal with a median of 4 s; a client that
    always has more to ask. `refuses`: beyond so many in flight it answers 429 at once, and the client waits a second.
    `tells`: its queue is looked at every half a second."""

    def __init__(self, slots, *, refuses=math.inf, tells=False, seed=0):
        self.slots, self.refuses, self.tells = slots, refuses, tells
        self.rng, self.now, self.refused = random.Random(seed), 0.0, 0
        self.queue, self.running, self.events, self.number = [], 0, [], itertools.count()
        self.asleep = 0

    def at(self, seconds, what, began=0.0):
        heapq.heappush(self.events, (self.now + seconds, next(self.number), what, began))

    def run(self, pace, answers):
        """The limits after each answer, and the share of the slots that was busy."""
        rooms, busy, last = [], 0.0, 0.0
        if self.tells:
            self.at(0.5, "look")
        self.feed(pace)
        while len(rooms) < answers:
            self.now, _, what, began = heapq.heappop(self.events)
            busy, last = busy + self.running * (self.now - last), self.now
            if what == "answer":
                self.running -= 1
                pace.answered(self.now, began, 500 + self.rng.randrange(500))
                pace.in_flight -= 1
                rooms.append(pace.room)
            elif what == "look":
                pace.queued(self.now, self.running, len(self.queue))
                self.at(0.5, "look")
            else:
                self.asleep -= 1
            self.feed(pace)
        return rooms, busy / last / self.slots

    def feed(self, pace):
        while pace.in_flight + self.asleep < pace.room:
            pace.in_flight += 1
            if pace.in_flight > self.refuses:
                pace.overloaded(self.now, self.now)
                pace.in_flight -= 1
                self.refused, self.asleep = self.refused + 1, self.asleep + 1
                self.at(1.0, "wake")
            else:
                self.queue.append(self.now)
        while self.queue and self.running < self.slots:
            self.running += 1
            self.at(4 * math.exp(0.6 * self.rng.gauss(0, 1)), "answer", self.queue.pop(0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("start", [16, START])
def test_without_a_word_of_its_queue_the_limit_comes_near_the_slots(start, seed):
    rooms, busy = World(32, seed=seed).run(Pace(256, start), 20_000)
    assert 30 <= mean(rooms[-5000:]) <= 80
    assert busy > 0.99


@pytest.mark.parametrize("seed", range(4))
def test_a_queue_that_is_told_is_kept_just_filled(seed):
    rooms, busy = World(32, tells=True, seed=seed).run(Pace(256), 3000)
    assert {*rooms[-2000:]} == {36}, "the slots, and an eighth more that waits"
    assert busy > 0.999


@pytest.mark.parametrize("tells", [True, False])
def test_a_large_server_is_filled_within_the_first_answers(tells):
    rooms, _ = World(256, tells=tells).run(Pace(1024), 3000)
    assert next(i for i, room in enumerate(rooms) if room >= 256) < (30 if tells else 300)


def test_a_small_server_that_tells_is_left_a_small_queue():
    rooms, _ = World(2, tells=True).run(Pace(256), 300)
    assert rooms[-1] == FLOOR


def test_what_is_refused_halves_the_limit_which_comes_back_to_just_below():
    world, pace = World(1000, refuses=40), Pace(256)
    world.feed(pace)
    assert pace.room == 20, "half of what there was room for"
    rooms, _ = world.run(pace, 3000)
    assert mean(rooms[-2000:]) > 0.85 * 40
    assert world.refused < 20, "it is not run against again and again"


def test_when_there_is_room_again_the_limit_grows_beyond():
    world, pace = World(1000, refuses=40), Pace(256)
    world.run(pace, 1000)
    world.refuses = math.inf
    rooms, _ = world.run(pace, 20_000)
    assert rooms[-1] > 100


def test_many_refusals_of_one_moment_count_once():
    pace = Pace(256)
    pace.in_flight = 60
    for _ in range(50):
        pace.overloaded(5.0, 1.0)
    assert pace.room == 30
    pace.in_flight = 30
    pace.overloaded(6.0, 5.5)
    assert pace.room == 15, "asked after the first, though"


def test_where_there_is_less_to_ask_nothing_is_changed():
    pace = Pace(256)
    for i in range(5000):
        pace.in_flight = 20
        pace.answered(i / 10, i / 10 - 1, 100)
        pace.queued(i / 10, 20, 0)
    assert pace.room == TOLD


def test_one_in_flight_stays_one_whatever_happens():
    pace = Pace(1)
    for i in range(200):
        pace.in_flight = 1
        pace.overloaded(i, i - 0.5) if i % 3 else pace.answered(i, i - 0.5, 10)
        pace.queued(i, 0, 9)
        assert pace.room == 1


# -- places ---------------------------------------------------------------------------------------


def test_places_are_given_in_the_order_of_asking_and_a_lent_one_comes_back_first():
    async def run():
        size, seen = [1], []
        turns = Turns(lambda: size[0])

        async def work(name, *, lends=False):
            async with turns:
                seen.append(name)
                if lends:
                    async with turns.lent():
                        await asyncio.sleep(0)
                    seen.append(f"{name} again")
                for _ in range(4):
                    await asyncio.sleep(0)

        await asyncio.gather(work("a", lends=True), work("b"), work("c"))
        assert seen == ["a", "b", "a again", "c"]
        assert turns.taken == 0

    asyncio.run(run())


def test_whoever_is_cancelled_takes_no_place_along():
    async def run():
        size = [0]
        turns = Turns(lambda: size[0])

        async def work(*, lends):
            async with turns:
                if lends:
                    async with turns.lent():
                        await asyncio.sleep(10)
                await asyncio.sleep(10)

        tasks = [asyncio.create_task(work(lends=i % 2 == 0)) for i in range(8)]
        await asyncio.sleep(0)
        assert turns.taken == 1, "one place there always is; the first has lent its own to the second"
        size[0] = 5
        turns.wake()
        await asyncio.sleep(0)
        for task in tasks[::-1]:
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert turns.taken == 0

    asyncio.run(run())


# -- real servers ---------------------------------------------------------------------------------


async def asked(servers, count, **options):
    """The replies, and the room of each server at the end."""
    engine = Server([server.url for server in servers], **QUICK, **options)
    await engine.open()
    try:
        done = await asyncio.gather(*(engine.complete(question(seed=n)) for n in range(count)))
        return done, [endpoint.pace.room for endpoint in engine._transport.endpoints]
    finally:
        await engine.close()


@pytest.mark.process
def test_each_server_gets_what_it_keeps_up_with():
    with serve(delay=150, most=5, retry_after="0.05") as small, serve(delay=150, most=200) as large:
        done, rooms = asyncio.run(asked([small, large], 700))
        counts = [len(server.requests("done")) for server in (small, large)]
        refused = len(small.events("full"))
    assert all(one.text for one in done)
    assert rooms[0] <= 6
    assert rooms[1] >= 64
    assert counts[1] > 5 * counts[0]
    assert refused < 150, "it was not overrun again and again"


async def until(engine, is_so, seconds=60.0):
    """Keeps asking, always more than would fit, until the room of the only server is as wished."""
    await engine.open()
    try:
        room, end = engine._transport.endpoints[0].pace, asyncio.get_running_loop().time() + seconds
        tasks = [asyncio.create_task(engine.complete(question(seed=n))) for n in range(200)]
        while not is_so(room.room):
            assert asyncio.get_running_loop().time() < end, f"still {room.room}"
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            tasks = [t if not t.done() else asyncio.create_task(engine.complete(question(seed=1))) for t in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await engine.close()


@pytest.mark.process
def test_a_queue_that_is_told_brings_the_limit_down_and_idle_slots_bring_it_up():
    with serve(delay=100, slots=12, tells_queue=True) as server:
        asyncio.run(until(Server([server.url], **QUICK), lambda room: room <= 20))
    with serve(delay=100, slots=500, tells_queue=True) as server:
        asyncio.run(until(Server([server.url], **QUICK), lambda room: room > 150))


@pytest.mark.process
def test_a_question_that_waits_to_be_asked_again_leaves_its_place_to_others():
    """One slot, and a first question that the server puts off for long: the others are answered meanwhile."""
    async def run(server):
        engine = Server([server.url], width=1, **QUICK | {"patience": 2.0})
        await engine.open()
        order = []

        async def ask(number):
            await engine.complete(question(seed=number))
            order.append(number)

        await asyncio.gather(*map(ask, range(4)))
        await engine.close()
        return order

    with serve(fail_first="429:1", retry_after="1") as server:
        assert asyncio.run(run(server)) == [1, 2, 3, 0]
