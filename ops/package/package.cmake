# What `cpack` puts into the Debian package: the program, its systemd units, settings to begin with, documents.
include(GNUInstallDirs)
install(TARGETS assay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ops/systemd/assay.service ops/systemd/assay-ingest.service ops/systemd/assay-worker@.service
        DESTINATION /lib/systemd/system)
install(FILES ops/package/serve.toml ops/package/ingest.toml ops/package/worker.toml DESTINATION /etc/assay)
install(FILES README.md CHANGELOG.md ops/runbook.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
# What these link to, and where they look for it.
foreach(document ingest/README.md ingest/mlflow/README.md workers/README.md storage/README.md ops/README.md ops/runbook.md
                 bench/results/figures.md)
  get_filename_component(folder ${document} DIRECTORY)
  install(FILES ${document} DESTINATION ${CMAKE_INSTALL_DOCDIR}/${folder})
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(DIRECTORY ops/prometheus ops/grafana ops/compose ops/kubernetes DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME assay)
set(CPACK_PACKAGE_CONTACT "The assay maintainers <maintainers@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Durable, exactly-once pipeline for user feedback on GenAI applications")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/ops/package/conffiles ${CMAKE_SOURCE_DIR}/ops/package/postinst
                                       ${CMAKE_SOURCE_DIR}/ops/package/prerm ${CMAKE_SOURCE_DIR}/ops/package/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
