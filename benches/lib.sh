# The parts of benches/run. Times go to $work/times/NAME, a number of milliseconds a line.

say() { printf '%s\n' "-- $*" >&2; }

need() {
  local missing=() tool
  for tool in "$@"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  [ ${#missing[@]} = 0 ] || { echo "missing: ${missing[*]}" >&2; exit 1; }
}

finish() {
  [ -z "${registry_process:-}" ] || kill "$registry_process" 2>/dev/null || true
  say "removing $work"
  # buildah leaves them
  umount "$work"/buildah/root/overlay/*/merged "$work/buildah/root/overlay" 2>/dev/null || true
  rm -rf "$work"
}

# What the base image is made of: files of this machine's /usr, picked evenly, directories included, and a busybox for RUN.
make_base() {
  mkdir -p "$work/busybox/bin" "$work/times" "$work/context" "$work/registry"
  cp "$(command -v busybox)" "$work/busybox/bin/busybox"
  local applet
  for applet in sh true cp rm touch find mkdir seq xargs truncate; do ln -s busybox "$work/busybox/bin/$applet"; done
  mkdir -m 1777 "$work/busybox/tmp"
  find /usr -xdev \( -type f -o -type l \) -readable -size -64M -printf '%s %P\n' | LC_ALL=C sort -k2 >"$work/found"
  awk -v files="$files" -v bytes="$bytes" '
    { size[NR] = $1; sub(/^[0-9]+ /, ""); name[NR] = $0; total += size[NR] }
    END {
      step = NR > files ? NR / files : 1
      for (i = 1; i <= NR && taken < bytes; i++) {
        if (int(i / step) == int((i - 1) / step)) continue
        taken += size[i]
        n = split(name[i], part, "/"); path = ""
        for (j = 1; j < n; j++) { path = path (j > 1 ? "/" : "") part[j]; if (!seen[path]++) print path }
        print name[i]
      }
    }' "$work/found" >"$work/list"
  tar -C /usr --no-recursion --numeric-owner --transform 's,^,usr/,rSh' -T "$work/list" -cf "$work/base.tar"
  tar -C "$work/busybox" --numeric-owner --owner 0 --group 0 -rf "$work/base.tar" bin tmp
  pigz -6 -n -c "$work/base.tar" >"$work/base.tar.gz"
  describe_base
}

describe_base() {
  base_entries=$(tar -tf "$work/base.tar" | wc -l)
  base_size=$(stat -c %s "$work/base.tar")
  base_blob_size=$(stat -c %s "$work/base.tar.gz")
}

# Small files for COPY, 3 kB each, in directories of 100.
make_context() {
  local i
  for i in $(seq 0 $((copied / 100 - 1))); do mkdir -p "$work/context/many/$i"; done
  awk -v dir="$work/context/many" -v files="$copied" 'BEGIN {
    for (i = 0; i < files; i++) {
      file = dir "/" int(i / 100) "/" i
      for (j = 0; j < 100; j++) printf "line %d of file number %d\n", j, i * 7919 >file
      close(file)
    }
  }'
}

start_registry() {
  registry_port=$(awk 'BEGIN { srand(); print 20000 + int(rand() * 20000) }')
  cat >"$work/registry.yml" <<YML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:$registry_port"}
YML
  docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  registry_process=$!
  local attempt
  for attempt in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$registry_port") 2>/dev/null && return
    sleep 0.1
  done
  echo "docker-registry does not start: $(cat "$work/registry.log")" >&2
  exit 1
}

push_base() {
  local layout=$work/layout diff_id layer config
  mkdir -p "$layout/blobs/sha256"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  diff_id=$(sha256sum <"$work/base.tar" | cut -d' ' -f1)
  layer=$(sha256sum <"$work/base.tar.gz" | cut -d' ' -f1)
  ln "$work/base.tar.gz" "$layout/blobs/sha256/$layer"
  printf '{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created_by":"files of /usr"}]}' \
    "$diff_id" >"$work/config"
  config=$(blob "$layout" "$work/config")
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%d}]}' \
    "$config" "$(stat -c %s "$work/config")" "$layer" "$base_blob_size" >"$work/manifest"
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d}]}' \
    "$(blob "$layout" "$work/manifest")" "$(stat -c %s "$work/manifest")" >"$layout/index.json"
  base=127.0.0.1:$registry_port/base:latest
  skopeo copy -q --dest-tls-verify=false "oci:$layout" "docker://$base"
}

# Puts a file into a layout; prints its hash.
blob() {
  local hash
  hash=$(sha256sum <"$2" | cut -d' ' -f1)
  cp "$2" "$1/blobs/sha256/$hash"
  echo "$hash"
}

milliseconds() { date +%s%3N; }

# Runs a command and notes how long it took.
timed() {
  local name=$1 start
  shift
  start=$(milliseconds)
  "$@" || return
  echo $(($(milliseconds) - start)) >>"$work/times/$name"
}

# Nothing is left to write to the disk, and what will be read is in memory.
ready() {
  sync -f "$work"
  find "$work/registry" "$work/base.tar.gz" -type f -exec cat {} + >/dev/null
}

unpack_with_tar() {
  mkdir "$work/tar-$1"
  ready
  # shellcheck disable=SC2016
  timed tar sh -c 'gzip -dc "$1" | tar -xf - -C "$2"' sh "$work/base.tar.gz" "$work/tar-$1"
}

# Unpacks and then stops the executor dead, so that it does not clean up: the tree stays until the end.
unpack_with_executor() {
  printf 'FROM %s\nRUN ["/bin/busybox", "sleep", "60"]\n' "$base" >"$work/Dockerfile"
  local log=$work/unpack-$1.log process
  ready
  "$executor" --dockerfile "$work/Dockerfile" --context "$work/context" --no-push --insecure-pull --isolation=namespaces \
    --kaniko-dir "$work/executor-$1" --verbosity=debug --log-format=text 2>"$log" >/dev/null &
  process=$!
  until grep -q 'msg="*unpacked' "$log"; do
    kill -0 "$process" 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.1
  done
  kill -KILL "$process"
  wait "$process" 2>/dev/null || true
  elapsed 'msg="*unpacked' "$log" >>"$work/times/unpack"
}

# Prints the elapsed time of the log lines that match.
elapsed() { grep "$1" "$2" | sed -n 's/.*elapsed_ms=\([0-9]*\).*/\1/p'; }

look_with_find() {
  find_in_root() { find "$1/stages/0/rootfs" -xdev -printf '%i %C@ %s\n' >/dev/null; }
  timed find find_in_root "$1"
}

# Runs the executor under GNU time; NAME gets wall and CPU seconds and peak memory, NAME.log what it says, NAME.out what commands print.
build() {
  local name=$1
  shift
  /usr/bin/time -o "$work/$name" -f '%e %U %S %M' "$executor" --dockerfile "$work/Dockerfile" --context "$work/context" \
    --insecure --insecure-pull --kaniko-dir "$work/executor-$name" --isolation=namespaces --verbosity=debug --log-format=text "$@" \
    2>"$work/$name.log" >"$work/$name.out" || { cat "$work/$name.log" >&2; exit 1; }
}

# Ten small RUN steps of which five change nothing, a COPY of many files, and changes to them.
# Lets the disk forget what was removed: ext4 without a journal passes over inodes that were freed within the last minute, one by one,
# so a build pays for the removal before it; the builds of a pipeline begin in a new container and do not.
settle() {
  sync -f "$work"
  sleep 61
}

reference_dockerfile() {
  echo "FROM $base"
  echo 'ENV A=1'
  echo 'WORKDIR /work'
  for i in $(seq 5); do echo "RUN echo $i >/work/$i"; done
  for _ in $(seq 5); do echo 'RUN ["/bin/true"]'; done
  echo 'COPY many /many'
  echo 'RUN cp -r /many /copy'
  echo 'RUN rm -rf /copy/1*'
  echo 'RUN find /many -name "*[02468]" | xargs touch'
}

reference_build() {
  reference_dockerfile >"$work/Dockerfile"
  build reference --destination "127.0.0.1:$registry_port/made:latest"
  awk '{ print $1 * 1000 }' "$work/reference" >>"$work/times/reference"
  # one line a step, in order: WORKDIR, 5 RUN, 5 idle RUN, COPY, 3 RUN; ENV has one too
  elapsed 'msg=done' "$work/reference.log" >"$work/steps"
  sed -n '8,12p' "$work/steps" >"$work/times/idle"
}

# The same with buildah: a layer a step, pushed.
reference_with_buildah() {
  reference_dockerfile >"$work/Dockerfile"
  buildah_reference() {
    local storage=(--root "$work/buildah/root" --runroot "$work/buildah/run" --storage-driver overlay)
    buildah "${storage[@]}" bud -q --isolation chroot --layers --tls-verify=false -f "$work/Dockerfile" -t made "$work/context" >/dev/null &&
      buildah "${storage[@]}" push -q --tls-verify=false made "docker://127.0.0.1:$registry_port/made:buildah"
  }
  mkdir -p "$work/buildah"
  timed buildah buildah_reference 2>"$work/buildah.log" || { cat "$work/buildah.log" >&2; exit 1; }
}

# COPY of one large file is copying, hashing and compressing and little else.
compress() {
  [ -e "$work/context/one.tar" ] || head -c 400000000 "$work/base.tar" >"$work/context/one.tar"
  # shellcheck disable=SC2016
  timed pigz sh -c 'pigz -6 -c "$1" >/dev/null' sh "$work/context/one.tar"
  printf 'FROM scratch\nCOPY one.tar /\n' >"$work/Dockerfile"
  build layer --no-push
  elapsed 'msg=done' "$work/layer.log" >>"$work/times/layer"
  layer_size=$(sed -n 's/.*size_bytes=.*//p' "$work/layer.log")
}

# Layers much larger than memory allows, and many files.
memory() {
  printf 'FROM %s\nRUN truncate -s %dM /big\n' "$base" "$big" >"$work/Dockerfile"
  build memory_big --no-push
  printf 'FROM scratch\nCOPY many /many\n' >"$work/Dockerfile"
  build memory_copy --no-push
  # the trees differ in their number of files only
  local count
  for count in 1000 "$many"; do
    many_files "$count"
    build "made_$count" --destination "127.0.0.1:$registry_port/many:$count"
    printf 'FROM 127.0.0.1:%s/many:%s\nRUN ["/bin/true"]\n' "$registry_port" "$count" >"$work/Dockerfile"
    build "seen_$count" --no-push
  done
}

# How the cost of a RUN that changes nothing grows with the number of files in its root.
series() {
  local count
  : >"$work/series.table"
  for count in "$@"; do
    many_files "$count"
    for _ in 1 2 3; do echo 'RUN ["/bin/busybox", "true"]'; done >>"$work/Dockerfile"
    build series --no-push
    # the last three steps
    elapsed 'msg=done' "$work/series.log" | tail -3 | sort -n | head -1 >"$work/idle"
    echo "$count $(cat "$work/idle") $(awk '{ print $4 }' "$work/series")" >>"$work/series.table"
  done
}

# A Dockerfile that makes many empty files, 500 in a directory.
many_files() {
  [ -e "$work/context/busybox" ] || cp -a "$work/busybox" "$work/context/"
  {
    echo 'FROM scratch'
    echo 'COPY busybox /'
    echo 'ENV PATH=/bin'
    echo "RUN cd /tmp && seq $(($1 / 500)) | xargs mkdir && for d in *; do (cd \$d && seq 500 | xargs touch); done"
  } >"$work/Dockerfile"
}

least() { sort -n "$work/times/$1" | head -1; }
median() { sort -n "$work/times/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# Notes a row: what, beside what, the files with the times, and the ratio that is aimed at.
compare() {
  awk -v what="$1" -v beside="$2" -v a="$(least "$3")" -v b="$(least "$4")" -v am="$(median "$3")" -v bm="$(median "$4")" -v aim="$5" \
    'BEGIN { printf "| %s | %s | %.2f s | %.2f s | %.2f | %.2f | %s |\n", what, beside, a / 1e3, b / 1e3, a / b, am / bm, aim }' >>"$work/rows"
}

print_table() {
  echo
  echo "base: $base_entries entries, $base_size bytes, $base_blob_size compressed; $(nproc) processors; $(stat -f -c %T "$work")"
  echo
  echo '| what | beside | executor | other | ratio of the least | of the medians | aim |'
  echo '| --- | --- | --- | --- | --- | --- | --- |'
  cat "$work/rows"
  echo
  echo '| whole process | wall s | user s | system s | peak MiB |'
  echo '| --- | --- | --- | --- | --- |'
  row 'reference build, pushed' reference
  row "RUN that makes a file of $big MiB" memory_big
  row "COPY of $copied files" memory_copy
  for count in 1000 "$many"; do
    row "RUN that makes $count files" "made_$count"
    row "RUN on a base of $count files" "seen_$count"
  done
  echo
  if [ -s "$work/series.table" ]; then
    echo '| files | RUN that changes nothing, ms | peak MiB |'
    echo '| --- | --- | --- |'
    awk '{ printf "| %d | %d | %.0f |\n", $1, $2, $3 / 1024 }' "$work/series.table"
    echo
  fi
  echo "bytes of memory a file, from the last two: $(peak_per_file seen), while a layer is made of them: $(peak_per_file made)"
  echo "steps of the reference build (ms): $(tr '\n' ' ' <"$work/steps")"
}

peak_per_file() {
  awk -v files=$((many - 1000)) '{ kib[NR] = $4 } END { print int((kib[2] - kib[1]) * 1024 / files) }' "$work/$1_1000" "$work/$1_$many"
}

row() { awk -v what="$1" '{ printf "| %s | %s | %s | %s | %.0f |\n", what, $1, $2, $3, $4 / 1024 }' "$work/$2"; }

# Draws the least times of the rows as bars, in SVG: the executor beside what it is compared with.
plot() {
  awk -F' *\\| *' '
    function escaped(text) { gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text); return text }
    { what[NR] = $2; beside[NR] = $3; ours[NR] = $4 + 0; theirs[NR] = $5 + 0 }
    END {
      width = 760; left = 330; row = 62
      printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n", width, NR * row + 16
      printf "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
      for (i = 1; i <= NR; i++) {
        y = (i - 1) * row + 14
        most = ours[i] > theirs[i] ? ours[i] : theirs[i]
        scale = (width - left - 80) / (most > 0 ? most : 1)
        bar(what[i], ours[i], y, "#2563eb", scale)
        bar(beside[i], theirs[i], y + 22, "#9ca3af", scale)
      }
      print "</svg>"
    }
    function bar(label, seconds, y, colour, scale) {
      printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", left - 8, y + 13, escaped(label)
      printf "<rect x=\"%d\" y=\"%d\" width=\"%.0f\" height=\"18\" fill=\"%s\"/>", left, y, seconds * scale + 1, colour
      printf "<text x=\"%.0f\" y=\"%d\">%.2f s</text>\n", left + seconds * scale + 6, y + 13, seconds
    }' "$work/rows" >"$1"
}
