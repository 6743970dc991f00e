eval "package_$_p() { $(declare -f _package); _package; }"
