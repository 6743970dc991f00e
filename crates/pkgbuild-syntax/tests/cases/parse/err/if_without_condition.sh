if; then a; fi
