# wire_peer_test: our gRPC against grpc++, in both directions. Only where grpc++ and protoc's plug-in for it are there.
pkg_check_modules(GRPCPP QUIET IMPORTED_TARGET grpc++)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin)
if(NOT TARGET PkgConfig::GRPCPP OR NOT GRPC_CPP_PLUGIN)
  message(STATUS "grpc++ not found: wire_peer_test is left out")
  return()
endif()

set(peer_out ${CMAKE_BINARY_DIR}/gen)
foreach(stem agent classic)
  set(generated ${peer_out}/wire/${stem}.grpc.pb)
  add_custom_command(OUTPUT ${generated}.cc ${generated}.h
    COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR}/src --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN}
            --grpc_out=${peer_out} wire/${stem}.proto
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/src
    DEPENDS ${CMAKE_SOURCE_DIR}/src/wire/${stem}.proto VERBATIM)
  list(APPEND peer_sources ${generated}.cc)
endforeach()
add_library(wire_peer_stubs OBJECT ${peer_sources})
target_include_directories(wire_peer_stubs SYSTEM PUBLIC ${peer_out} ${Protobuf_INCLUDE_DIRS})
target_compile_options(wire_peer_stubs PRIVATE -w)
add_dependencies(wire_peer_stubs escala_wire_protos)

find_package(GTest REQUIRED)
add_executable(wire_peer_test ${CMAKE_SOURCE_DIR}/tests/wire_peer/wire_peer_test.cpp)
target_link_libraries(wire_peer_test PRIVATE escala_flags wire_peer_stubs escala_wire protobuf::libprotobuf
                      PkgConfig::GRPCPP GTest::gtest_main)
target_include_directories(wire_peer_test SYSTEM PRIVATE ${peer_out})
