import asyncio

from pygnc_instruments.bridge.session import SendQueue


def test_a_full_queue_drops_and_counts_the_oldest_messages() -> None:
    async def run() -> None:
        queue = SendQueue(depth=3)
        for k in range(5):
            queue.put(str(k))
        assert queue.dropped == 2
        assert [await queue.get() for _ in range(3)] == ["2", "3", "4"]

    asyncio.run(run())


def test_answers_are_sent_first_and_never_dropped() -> None:
    async def run() -> None:
        queue = SendQueue(depth=1)
        answers = [asyncio.create_task(queue.answer(word)) for word in ("a", "b")]
        await asyncio.sleep(0)
        queue.put("x")
        queue.put("y")
        assert [await queue.get() for _ in range(2)] == ["a", "b"]
        assert not any(task.done() for task in answers)  # the second answer has been taken but not sent
        assert await queue.get() == "y"
        await asyncio.gather(*answers)

    asyncio.run(run())


def test_a_message_wakes_the_sender() -> None:
    async def run() -> None:
        queue = SendQueue()
        taking = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.put("late")
        assert await asyncio.wait_for(taking, 5) == "late"

    asyncio.run(run())


def test_closing_the_queue_releases_waiting_callers() -> None:
    async def run() -> None:
        queue = SendQueue()
        answering = asyncio.create_task(queue.answer("a"))
        await asyncio.sleep(0)
        queue.close()
        await asyncio.wait_for(answering, 5)
        await asyncio.wait_for(queue.answer("b"), 5)

    asyncio.run(run())
