"""One store object on its way into staging: NAR, hash, compression, parts, and the narinfo last."""
