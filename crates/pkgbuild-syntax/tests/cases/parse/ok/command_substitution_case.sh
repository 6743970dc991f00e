x=$(case $y in a) b;; (c|d) e;; esac)
