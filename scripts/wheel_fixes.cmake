# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# CMAKE_PROJECT_INCLUDE for building against the ROS 2 wheels from PyPI; runs at the end of the
# configure step.
# 1. The wheels' exported targets name include folders of the container that built them
#    (/opt/python/...), which do not exist here and stop the configure step: removed.
# 2. Our virtual environment lies inside the source folder, and CMake refuses to export a target
#    that names an include folder of the source tree (numpy's): limited to the build.
function(_clean_include_directories)
  get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
  get_property(built DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS imported built)
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "UTILITY")
      continue()
    endif()
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT directories)
      continue()
    endif()
    set(kept "")
    foreach(directory IN LISTS directories)
      cmake_path(IS_PREFIX CMAKE_SOURCE_DIR "${directory}" is_inside)
      if(target IN_LIST built AND is_inside AND NOT directory MATCHES "^\\$<")
        list(APPEND kept "$<BUILD_INTERFACE:${directory}>")
      elseif(NOT directory MATCHES "^/opt/python/" OR EXISTS "${directory}")
        list(APPEND kept "${directory}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()
cmake_language(DEFER CALL _clean_include_directories)
