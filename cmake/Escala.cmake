# How this project declares libraries, executables, tests and benchmarks.
#
# A folder of src/ is one static library. Its sources are found by name, so that adding a file needs no edit here:
#   x.cpp         belongs to the library
#   x_test.cpp    belongs to the folder's test program, <folder>_test
#   x_bench.cpp   belongs to the folder's benchmark program, <folder>_bench
#   x.proto       is compiled when the folder's PROTOS names it
# COLD: nothing here is worth -O2, which takes half as long again.

include(GNUInstallDirs)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Protobuf REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(pugixml REQUIRED)
find_package(ZLIB REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(date REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(Boost 1.81 REQUIRED)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
if(NOT TARGET yaml-cpp)
  add_library(yaml-cpp ALIAS yaml-cpp::yaml-cpp)
endif()

# --- flags ---------------------------------------------------------------------------------------------------------

add_library(escala_flags INTERFACE)
target_compile_options(escala_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast
  -Wunused -Woverloaded-virtual -Wnull-dereference -Wimplicit-fallthrough -Werror)
# g++ 12 reports these inside libstdc++ and protobuf headers at -O2, wrongly.
target_compile_options(escala_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-null-dereference -Wno-restrict -Wno-free-nonheap-object>
  -Wno-missing-field-initializers)
# -fPIE, not -fPIC: nothing here is a shared library, and calls within a program need not be replaceable.
target_compile_options(escala_flags INTERFACE -fPIE -fstack-protector-strong -fcf-protection
  $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
target_link_options(escala_flags INTERFACE -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
if(ESCALA_SANITIZE)
  target_compile_options(escala_flags INTERFACE -fsanitize=${ESCALA_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  # gcc sees uses of uninitialized values in what its sanitizers add.
  target_compile_options(escala_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  # clang 14 puts a relative address before each function for this check, which its assembler cannot always write.
  target_compile_options(escala_flags INTERFACE $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function>)
  target_link_options(escala_flags INTERFACE -fsanitize=${ESCALA_SANITIZE})
  if(ESCALA_SANITIZE MATCHES "thread")
    # Debian's libprotobuf is built without it: its headers must not give maps the members they have under the sanitizer.
    target_compile_options(escala_flags INTERFACE -Wno-tsan -U__SANITIZE_THREAD__)
  endif()
endif()
target_compile_definitions(escala_flags INTERFACE ESCALA_VERSION="${PROJECT_VERSION}")
if(ESCALA_PLANTED)
  target_compile_definitions(escala_flags INTERFACE ESCALA_PLANTED)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=time_macros ${CCACHE})
endif()

# --- generated code ------------------------------------------------------------------------------------------------

# Generated headers are included as "<folder>/<name>.pb.h".
function(escala_protos target folder)
  set(out ${CMAKE_BINARY_DIR}/gen)
  file(MAKE_DIRECTORY ${out}/${folder})
  foreach(proto IN LISTS ARGN)
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    set(from ${CMAKE_SOURCE_DIR}/src/${folder}/${proto})
    set(to ${out}/${folder}/${stem}.pb)
    add_custom_command(OUTPUT ${to}.cc ${to}.h
      COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR}/src --cpp_out=${out} ${folder}/${proto}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/src
      DEPENDS ${from} VERBATIM)
    list(APPEND generated ${to}.cc)
  endforeach()
  add_library(${target}_protos OBJECT ${generated})
  target_include_directories(${target}_protos SYSTEM PUBLIC ${out} ${Protobuf_INCLUDE_DIRS})
  target_compile_options(${target}_protos PRIVATE -w -fPIE)
  if(ESCALA_SANITIZE MATCHES "thread")
    target_compile_options(${target}_protos PRIVATE -fsanitize=thread -U__SANITIZE_THREAD__)
  elseif(ESCALA_SANITIZE)
    target_compile_options(${target}_protos PRIVATE -fsanitize=address$<$<BOOL:${ESCALA_FUZZ}>:,fuzzer-no-link>)
  endif()
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_protos>)
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  add_dependencies(${target} ${target}_protos)
endfunction()

# --- libraries and programs ------------------------------------------------------------------------------------------

# More than half of a file's compile time is headers: compiled eight to a unit, the whole tree takes 43 % less CPU.
# Hence names in anonymous namespaces are one per folder. Off in the debug preset, so that ./dev check sees what a file
# forgot to include, and a changed file compiles alone.
option(ESCALA_UNITY "Compile several files of a folder as one unit" ON)

function(escala_unity target batch)
  if(ESCALA_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${batch})
    # g++ takes a type of an anonymous namespace in a unit's second file for one of a header.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

set_property(GLOBAL PROPERTY ESCALA_BENCH_FOLDERS "")

# COLD: not worth optimising much. HOT: files with loops that are worth vectorising.
function(escala_library folder)
  cmake_parse_arguments(A "COLD" "" "HOT;PROTOS;UNITS;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cpp)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  set(benches ${sources})
  list(FILTER benches INCLUDE REGEX "_bench\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench|main)\\.cpp$|/main\\.cpp$")
  set(target escala_${folder})
  if(NOT sources AND NOT A_PROTOS)
    set(empty ${CMAKE_BINARY_DIR}/gen/${folder}_empty.cpp)
    file(WRITE ${empty} "namespace escala {}\n")
    set(sources ${empty})
  endif()
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  foreach(unit IN LISTS A_UNITS)
    target_link_libraries(${target} PUBLIC escala_${unit})
  endforeach()
  target_link_libraries(${target} PRIVATE escala_flags PUBLIC ${A_LINK})
  escala_unity(${target} 8)
  if(A_COLD)
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
  foreach(file IN LISTS A_HOT)
    set_property(SOURCE ${CMAKE_SOURCE_DIR}/src/${folder}/${file} PROPERTY COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
  endforeach()
  if(A_PROTOS)
    escala_protos(${target} ${folder} ${A_PROTOS})
    set_property(GLOBAL APPEND PROPERTY ESCALA_PROTO_FOLDERS ${folder})
    if(NOT folder STREQUAL "wire")
      target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
    endif()
  endif()
  # Folders above one with generated headers must wait for them.
  foreach(unit IN LISTS A_UNITS)
    get_property(with_protos GLOBAL PROPERTY ESCALA_PROTO_FOLDERS)
    if(unit IN_LIST with_protos)
      add_dependencies(${target} escala_${unit}_protos)
    endif()
  endforeach()
  if(ESCALA_TESTS AND tests)
    find_package(GTest REQUIRED)
    add_executable(${folder}_test ${tests})
    target_link_libraries(${folder}_test PRIVATE escala_flags ${target} GTest::gmock GTest::gtest_main)
    # What is tested is optimised; the tests themselves only have to compile quickly.
    target_compile_options(${folder}_test PRIVATE $<$<CONFIG:Release>:-O1>)
    escala_unity(${folder}_test 6)
    escala_lite_runtime(${folder}_test ${folder})
    find_library(RAPIDCHECK rapidcheck)
    if(RAPIDCHECK)
      target_link_libraries(${folder}_test PRIVATE ${RAPIDCHECK})
    endif()
    set_property(GLOBAL APPEND PROPERTY ESCALA_TEST_PROGRAMS ${folder}_test)
  endif()
  if(ESCALA_BENCH AND benches)
    find_package(benchmark REQUIRED)
    add_executable(${folder}_bench ${benches})
    target_link_libraries(${folder}_bench PRIVATE escala_flags ${target} benchmark::benchmark_main)
    escala_lite_runtime(${folder}_bench ${folder})
  endif()
endfunction()

# wire's messages use protobuf's lite runtime, so that the agent can link just that. Every program but the agent takes
# the full one, which contains it: linking both into one program would register each message twice.
function(escala_lite_runtime program folder)
  target_link_libraries(${program} PRIVATE protobuf::libprotobuf)
endfunction()

# A decision takes and frees hundreds of small blocks, and glibc's malloc searches and merges them: with jemalloc a steady
# fleet costs control a quarter less (docs/benchmarks.md, Control). The sanitizers bring a malloc of their own.
function(escala_malloc program)
  if(NOT ESCALA_SANITIZE)
    target_link_options(${program} PRIVATE -Wl,--no-as-needed)
    target_link_libraries(${program} PRIVATE PkgConfig::JEMALLOC)
  endif()
endfunction()

function(escala_executable name)
  cmake_parse_arguments(A "STATIC_DEPENDENCIES" "MAIN" "UNITS" ${ARGN})
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/${A_MAIN})
    return()
  endif()
  add_executable(${name} ${A_MAIN})
  target_link_libraries(${name} PRIVATE escala_flags)
  if(A_STATIC_DEPENDENCIES)
    # One file to copy to an instance: everything but libc, libm and their like comes from .a files. Hence our archives
    # by path (linking their targets would bring the shared libraries they were declared with), and fmt from source.
    foreach(unit IN LISTS A_UNITS)
      target_link_libraries(${name} PRIVATE $<TARGET_FILE:escala_${unit}>)
      add_dependencies(${name} escala_${unit})
    endforeach()
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/static_fmt.cpp)
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
    target_include_directories(${name} SYSTEM PRIVATE ${CMAKE_BINARY_DIR}/gen)
    target_link_libraries(${name} PRIVATE
      -l:libnghttp2.a -l:libssl.a -l:libcrypto.a -l:libprotobuf-lite.a -l:libz.a Threads::Threads)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc -Wl,--as-needed -Wl,--gc-sections
      -Wl,-z,pack-relative-relocs)  # 0.5 MiB less to read at each start; glibc 2.36
  else()
    foreach(unit IN LISTS A_UNITS)
      target_link_libraries(${name} PRIVATE escala_${unit})
    endforeach()
    target_link_libraries(${name} PRIVATE protobuf::libprotobuf)
    escala_malloc(${name})
  endif()
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# bench/<name>.cpp: one program each, free to use every library.
function(escala_benchmarks)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.cpp)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(bench_${name} ${source})
    target_link_libraries(bench_${name} PRIVATE escala_flags escala_app escala_agent protobuf::libprotobuf)
    escala_malloc(bench_${name})
  endforeach()
endfunction()

# tests/fuzz/fuzz_<name>.cpp: one libFuzzer program each. The target `fuzz` is all of them.
function(escala_fuzz_targets)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.cpp)
  add_custom_target(fuzz)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE escala_flags escala_sim escala_agent escala_traffic protobuf::libprotobuf)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzz ${name})
  endforeach()
endfunction()
