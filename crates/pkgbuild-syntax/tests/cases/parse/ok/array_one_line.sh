arch=('x86_64' "aarch64" any)
