"""Webhooks: signs what waits in the outbox and sends it, as Standard Webhooks (https://www.standardwebhooks.com)."""
