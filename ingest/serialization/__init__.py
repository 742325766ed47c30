"""The JSON documents of the API: their types, and how uploads and jobs become them."""
