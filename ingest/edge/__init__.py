"""The edge in front of the origin: CloudFront and nginx."""
