# OpenBLAS::OpenBLAS, from Debian's pkg-config file.
pkg_check_modules(OPENBLAS REQUIRED IMPORTED_TARGET openblas)
add_library(OpenBLAS::OpenBLAS ALIAS PkgConfig::OPENBLAS)
