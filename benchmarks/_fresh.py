"""A user cloud's server as a process of its own, without supervisor: what `benchmarks.launch` compares with."""

from __future__ import annotations

import sys
import time

START = time.perf_counter()

from waykeep.attestation import insecure  # noqa: E402 - the imports are what is timed
from waykeep.attestation.appraisal import Policy, ReferenceValues  # noqa: E402 - the same
from waykeep.attestation.evidence import USER_CLOUD  # noqa: E402 - the same
from waykeep.channel.trust import Trust  # noqa: E402 - the same
from waykeep.formats.ids import OwnerId  # noqa: E402 - the same

OWNER = OwnerId("a" * 52)


def trust(root: str) -> Trust:
    """What a client of this process trusts."""
    policy = Policy((insecure.PLATFORM,), 3_600_000, 3_600_000, ("none",), {USER_CLOUD: ()})
    return Trust({insecure.PLATFORM: root}, ReferenceValues(("fresh",), {USER_CLOUD: ("fresh",)}), policy)


def main(seed: bytes) -> None:
    """Serve OWNER on a free port; print it and the milliseconds that imports took."""
    import asyncio
    import os
    from pathlib import Path

    from waykeep.authority.keys import SigningKey
    from waykeep.channel.server import AttestedServer, listen
    from waykeep.supervisor.signer import Signer
    from waykeep.usercloud.cloud import Cloud
    from waykeep.usercloud.routes import Routes
    from waykeep.usercloud.runs import Runner
    from waykeep.vault.store import DirectoryStore

    imported = (time.perf_counter() - START) * 1000
    root = SigningKey(seed)
    signer = Signer(
        insecure.PLATFORM,
        lambda data: insecure.quote(root, "fresh", data),
        os.urandom(32),
        time.time_ns() // 1_000_000,
        {USER_CLOUD: "fresh"},
    )

    class Attester:
        def evidence(self, claims: bytes, sandbox: tuple[str, ...]) -> bytes:
            return signer.evidence(USER_CLOUD, OWNER, claims, ("none",), sandbox)

    cloud = Cloud(OWNER, DirectoryStore(Path("/nonexistent")))
    server = AttestedServer(Attester())
    app = server.app(Routes(server, cloud, Runner(cloud, "http://127.0.0.1:9", server.measurement)).all())
    listener = listen("127.0.0.1")
    listener.listen(128)
    sys.stdout.write(f"{listener.getsockname()[1]} {imported:.2f}\n")
    sys.stdout.flush()
    asyncio.run(server.serve(app, listener))


if __name__ == "__main__":
    main(bytes.fromhex(sys.argv[1]))
