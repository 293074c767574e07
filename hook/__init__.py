"""The builder's side: the post-build hook, the durable queue, the uploader and the command line."""
