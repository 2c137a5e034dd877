"""What ``cloudpub demo`` shows: the names it draws from, the platform it invents, and the tour through the library."""
