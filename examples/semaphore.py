"""Ten jobs, of which no more than three run at the same time: here and on all machines where this program runs."""

import asyncio

from locker import aio


async def job(number: int) -> None:
    # All that share a lock have to say the same limit.
    async with aio.lock("gpu", limit=3, reason=f"job {number}", timeout=60):  # seconds
        print(f"job {number} begins", flush=True)
        await asyncio.sleep(0.1)  # the work
        print(f"job {number} ends", flush=True)


async def main() -> None:
    await asyncio.gather(*(job(number) for number in range(10)))
    async with aio.lock("gpu", timeout=60):  # alone: once all others are done, and before those who come later
        print("nobody else runs", flush=True)


asyncio.run(main())
