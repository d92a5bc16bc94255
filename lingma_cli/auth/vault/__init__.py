"""Where logins and generated keys are kept: the OS keyring, sealed files, or plain ones."""
