"""The host: an untrusted directory at a known address.

It keeps ciphertext and bundles, and asks the supervisor for processes. It holds no secret key, sees no plaintext and
decides no permission that matters: what it checks (signatures of writers, numbers of key lists) keeps strangers from
filling an owner's store, and every reader checks again.
"""
