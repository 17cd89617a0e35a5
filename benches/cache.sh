# Rebuilds from the layer cache, for benches/run: how long they take, and what they ask of the registry.

# The base, a COPY of many files, and two RUN steps; the last one says when it begins.
cached_dockerfile() {
  echo "FROM $base"
  echo 'COPY many /many'
  echo 'RUN ["/bin/busybox", "cp", "-r", "/many/0", "/copy"]'
  echo "RUN [\"/bin/busybox\", \"sh\", \"-c\", \"cat /proc/uptime; echo $1 >/last\"]"
}

# Builds with the cache and counts the requests; NAME.requests gets their number.
build_cached() {
  local name=$1 before
  before=$(requests)
  build "$name" --destination "127.0.0.1:$registry_port/cached:latest" --cache --cache-copy-layers --cache-repo "127.0.0.1:$registry_port/cache"
  echo $(($(requests) - before)) >"$work/$name.requests"
}

# The registry writes a line for each.
requests() { grep -c '"[A-Z]* /v2/.* HTTP/' "$work/registry.log" || true; }

rebuilds() {
  cached_dockerfile 1 >"$work/Dockerfile"
  settle
  build_cached cache_cold
  settle
  build_cached cache_full
  echo changed >"$work/context/many/0/0"
  build_cached cache_file
  settle
  cached_dockerfile 2 >"$work/Dockerfile"
  local started
  started=$(cut -d' ' -f1 /proc/uptime)
  build_cached cache_last
  awk -v started="$started" '{ printf "%.2f\n", $1 - started }' "$work/cache_last.out" >"$work/first_run"
}

print_rebuilds() {
  echo
  echo "| from the layer cache, $copied files in the context | wall s | user s | system s | peak MiB | requests |"
  echo '| --- | --- | --- | --- | --- | --- |'
  rebuild_row 'first build, filling the cache' cache_cold
  rebuild_row 'nothing changed' cache_full
  rebuild_row 'one file of the COPY changed' cache_file
  rebuild_row 'the last RUN changed' cache_last
  echo
  echo "seconds until the last RUN begins where only it is missing: $(cat "$work/first_run")"
}

rebuild_row() {
  awk -v what="$1" -v requests="$(cat "$work/$2.requests")" \
    '{ printf "| %s | %s | %s | %s | %.0f | %d |\n", what, $1, $2, $3, $4 / 1024, requests }' "$work/$2"
}
