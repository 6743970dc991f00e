x=$(<file) y=$(< "$z" tr a b)
