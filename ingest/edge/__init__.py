"""The edge before the origin: CloudFront and nginx."""
