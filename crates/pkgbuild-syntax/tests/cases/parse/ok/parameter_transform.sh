echo ${x@Q} ${x@E} ${x[@]@A} ${x@U}
