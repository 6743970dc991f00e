a;; b
c
