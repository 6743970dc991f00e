select x in a b; do c; done
select y; do d; done
