"""A real S3 server for the tests: SeaweedFS, from its wheel, on loopback."""

import json
import re
import secrets
import signal
import sys
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.server import Server, free_port

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

COMPOSE = Path(__file__).parents[1] / "deploy" / "compose.yaml"
WEED = Path(sys.executable).with_name("weed")
_SERVICES = ("master", "volume", "filer", "s3")


class SeaweedServer(Server):
    """One `weed server`: all of SeaweedFS in one process, with random keys.

    Its administrator owns `client`. The limited keys have the rights of Darkroom's identity in deploy/compose.yaml.
    `stop` and `start` keep data, ports and keys.
    """

    name = "SeaweedFS"
    stop_seconds = 20

    def __init__(self) -> None:
        super().__init__()
        self.access_key_id, self.secret_access_key = secrets.token_hex(10), secrets.token_hex(20)
        self.limited_key_id, self.limited_secret = secrets.token_hex(10), secrets.token_hex(20)
        self._ports = {name: free_port() for name in [*_SERVICES, *(f"{name}.grpc" for name in _SERVICES)]}
        self.endpoint_url = f"http://127.0.0.1:{self._ports['s3']}"

    def start(self) -> None:
        """Returns when an object can be stored and removed. Raises with the end of the log after 60 s."""
        (self._folder / "data").mkdir(exist_ok=True)
        (self._folder / "s3.json").write_text(json.dumps({"identities": self._identities()}))
        # Without the developer's ~/.seaweedfs, and without AWS keys, which would become an administrator's.
        self._launch(self._command(), self._failure, env={"HOME": str(self._folder)})

    @cached_property
    def client(self) -> "S3Client":
        """The shared client: creating one takes 0.1 s."""
        return Session(self.access_key_id, self.secret_access_key, region_name="us-east-1").client(
            "s3",
            endpoint_url=self.endpoint_url,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def close(self) -> None:
        super().close()
        self.client.close()

    def create_bucket(self, name: str) -> None:
        self.client.create_bucket(Bucket=name)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def publish(self, bucket: str, keys: str) -> None:
        """Makes the keys that match `keys` public by a bucket policy, as in S3."""
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{bucket}/{keys}",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client.put_bucket_policy(Bucket=bucket, Policy=policy)

    def put(self, bucket: str, key: str, body: bytes, content_type: str, cache_control: str) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, CacheControl=cache_control)

    def stop(self) -> None:
        """Stops in order. This takes SeaweedFS 17 s: its filer waits 15 s for its own gateway to disconnect."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it. Acknowledged objects are in the kernel's cache, and still there after the next start."""
        self._end(signal.SIGKILL)

    def _end(self, signum: signal.Signals) -> None:
        super()._end(signum)
        for name in _SERVICES:  # their folder is fixed, and some remain even after an orderly stop
            Path(f"/tmp/seaweedfs-{name}-grpc-{self._ports[f'{name}.grpc']}.sock").unlink(missing_ok=True)

    def _identities(self) -> list[dict[str, object]]:
        administrator = {"accessKey": self.access_key_id, "secretKey": self.secret_access_key}
        limited = {"accessKey": self.limited_key_id, "secretKey": self.limited_secret}
        [actions] = re.findall(r'"name":"darkroom".*"actions":(\[.*?\])', COMPOSE.read_text())
        return [
            {"name": "tests", "credentials": [administrator], "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
            {"name": "darkroom", "credentials": [limited], "actions": json.loads(actions)},
        ]

    def _command(self) -> list[str]:
        options = {
            "dir": "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            **{f"{name}.port": self._ports[name] for name in _SERVICES},
            **{f"{name}.port.grpc": self._ports[f"{name}.grpc"] for name in _SERVICES},
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "filer.localSocket": self._folder / "filer.sock",
            "s3.localSocket": self._folder / "s3.sock",
            "master.electionTimeout": "500ms",  # 10 s by default
            "master.telemetry": "false",
            "master.volumePreallocate": "false",
            "master.volumeSizeLimitMB": 64,
            "volume.max": 0,  # as many as fit the disk: every bucket needs seven
            "volume.preStopSeconds": 0,
            "s3.config": "s3.json",
            "s3.autoCreateBucket": "false",  # by default a put creates a missing bucket
        }
        return [str(WEED), "-logtostderr", "server", "-s3", *(f"-{name}={value}" for name, value in options.items())]

    def _failure(self) -> Exception | None:
        """Puts an object: S3 responds seconds before a volume exists, and a put waits for one."""
        taken = self.client.exceptions.BucketAlreadyExists, self.client.exceptions.BucketAlreadyOwnedByYou
        try:
            with suppress(*taken):  # from an earlier attempt or start
                self.client.create_bucket(Bucket="readiness")
            self.client.put_object(Bucket="readiness", Key="probe", Body=b"ready?")
            self.client.delete_object(Bucket="readiness", Key="probe")
        except (BotoCoreError, ClientError) as error:
            return error
        return None
