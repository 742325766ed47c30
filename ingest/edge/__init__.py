"""Tells the edges, CloudFront and nginx, which variants to forget, and prints their path rules."""
