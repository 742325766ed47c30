"""Tests in Chromium. A package, so that the fixture `chromium`, of that scope, ends before tests of other folders."""
