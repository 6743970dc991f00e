a=b=c
CFLAGS="-O2 -D_X=1" LDFLAGS=-Wl,-O1,--as-needed
