case in in in) in_;; esac
case x in (esac) y;; esac
