import asyncio

from pygnc_instruments.bridge.session import SendQueue


def test_a_client_that_does_not_read_loses_its_oldest_messages_counted() -> None:
    async def run() -> None:
        outbox = SendQueue(depth=3)
        for k in range(5):
            outbox.put(str(k))
        assert outbox.dropped == 2
        assert [await outbox.take() for _ in range(3)] == ["2", "3", "4"]

    asyncio.run(run())


def test_answers_go_first_and_are_never_dropped() -> None:
    async def run() -> None:
        outbox = SendQueue(depth=1)
        answers = [asyncio.create_task(outbox.answer(word)) for word in ("a", "b")]
        await asyncio.sleep(0)
        outbox.put("x")
        outbox.put("y")
        assert [await outbox.take() for _ in range(2)] == ["a", "b"]
        assert not any(task.done() for task in answers)  # the second is on its way: taken, not yet sent
        assert await outbox.take() == "y"
        await asyncio.gather(*answers)

    asyncio.run(run())


def test_a_message_wakes_the_sender() -> None:
    async def run() -> None:
        outbox = SendQueue()
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        outbox.put("late")
        assert await asyncio.wait_for(taking, 5) == "late"

    asyncio.run(run())


def test_nobody_waits_for_a_client_that_has_gone() -> None:
    async def run() -> None:
        outbox = SendQueue()
        answering = asyncio.create_task(outbox.answer("a"))
        await asyncio.sleep(0)
        outbox.close()
        await asyncio.wait_for(answering, 5)
        await asyncio.wait_for(outbox.answer("b"), 5)

    asyncio.run(run())
