set -euo pipefail
fail() { echo "error: $1" >&2; exit 1; }
inner() { # a path inside the repository, or nothing
  [[ "$1" =~ ^[A-Za-z0-9._@+/-]*$ && ! "/$1/" =~ /\.\./ && "$1" != [/-]* ]] || fail "not a path inside the repository: $1"
}
inner "${FOLDER:-}"
inner "${VERSION_FILE:-}"
inner "${PATCHES:-}"
[[ -z "${FOLDER:-}" ]] || DOCKERFILE="$FOLDER/$DOCKERFILE"

# The version: the last one, raised.
if [[ -n "${VERSION_FILE:-}" ]]; then
  last=$(tr -d '[:space:]' <"$VERSION_FILE")
else
  if tags=$(skopeo list-tags "docker://$IMAGE" 2>list-tags.log); then
    last=$(jq -r '.Tags[]' <<<"$tags" | sed -n 's/^v\{0,1\}\([0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*\)$/\1/p' | sort -V | tail -n 1)
  elif grep -qiE 'name.unknown|not found' list-tags.log; then
    last=""
  else
    cat list-tags.log >&2
    fail "cannot tell the last version of $IMAGE"
  fi
  rm -f list-tags.log
fi
last=${last#v}
[[ "${last:=0.0.0}" =~ ^([0-9]+)\.([0-9]+)\.([0-9]+)$ ]] || fail "not a version: $last"
major=$((10#${BASH_REMATCH[1]})) minor=$((10#${BASH_REMATCH[2]})) patch=$((10#${BASH_REMATCH[3]}))
case "${VERSION_BUMP:-patch}" in
  major) version="$((major + 1)).0.0" ;;
  minor) version="$major.$((minor + 1)).0" ;;
  patch) version="$major.$minor.$((patch + 1))" ;;
  *) fail "not a version bump: $VERSION_BUMP" ;;
esac
[[ "${SUFFIX:-}" =~ ^[0-9A-Za-z.-]{0,60}$ ]] || fail "not a suffix: $SUFFIX"
version="$version${SUFFIX:+-$SUFFIX}"

# The bases: each pair becomes a named context, so that the Dockerfile stays as it is.
pairs=$(jq -cn 'env.BASE_IMAGES // "" | if . == "" then [] else fromjson end
  | map(if (.reference | test("\\A[[A-Za-z0-9][][A-Za-z0-9._:@/-]*\\z")) and (.digest | test("\\Asha(256|384|512):[0-9a-f]+\\z"))
    then . else error("not a base image: " + tojson) end)') || fail "base_images cannot be read"
final=$(jq -r '[.[] | select(.role == "final")][0].reference // env.FINAL_BASE // ""' <<<"$pairs")
if [[ -n "$final" ]] && ! jq -e --arg name "$final" 'any(.reference == $name)' <<<"$pairs" >/dev/null; then
  digest=$(docker buildx imagetools inspect "$final" --format '{{json .Manifest}}' | jq -er .digest)
  pairs=$(jq -c --arg name "$final" --arg digest "$digest" '. + [{reference: $name, digest: $digest}]' <<<"$pairs")
fi

arguments=(--file "$DOCKERFILE" --tag "$IMAGE:$version" --push)
arguments+=(--provenance mode=max --sbom true --metadata-file build-metadata.json)
[[ -n "${SUFFIX:-}" ]] || arguments+=(--tag "$IMAGE:latest")
[[ -z "${TARGET:-}" ]] || arguments+=(--target "$TARGET")
[[ -z "${PLATFORMS:-}" ]] || arguments+=(--platform "$PLATFORMS")
while IFS= read -r line; do
  [[ -z "$line" ]] || arguments+=(--build-arg "$line")
done <<<"${BUILD_ARGS:-}"
while IFS= read -r line; do
  [[ -z "$line" ]] || arguments+=(--build-context "$line")
done < <(jq -r '.[] | "\(.reference)=docker-image://\(.reference | sub("@.*"; ""))@\(.digest)"' <<<"$pairs")
if [[ -n "$final" ]]; then
  digest=$(jq -r --arg name "$final" 'first(.[] | select(.reference == $name)).digest' <<<"$pairs")
  arguments+=(--label "org.opencontainers.image.base.name=$final" --label "org.opencontainers.image.base.digest=$digest")
fi
arguments+=(--label "org.opencontainers.image.version=$version" --label "org.opencontainers.image.revision=$REVISION")
[[ -z "${REQUEST_ID:-}" ]] || arguments+=(--label "image-factory.io/request-id=$REQUEST_ID")

if [[ -n "${PATCHES:-}" && -d "$PATCHES" ]]; then
  for file in "$PATCHES"/*.patch; do
    [[ ! -e "$file" ]] || git apply --directory="${FOLDER:-.}" -- "$file"
  done
fi
docker buildx build "${arguments[@]}" "${BUILD_CONTEXT:-$FOLDER}"

digest=$(jq -er '."containerimage.digest"' build-metadata.json)
printf 'version=%s\ndigest=%s\n' "$version" "$digest" >>"$GITHUB_OUTPUT"
printf 'Published %s:%s (%s), asked for by %s.\n' "$IMAGE" "$version" "$digest" "${TRIGGERED_BY:-a person}" >>"$GITHUB_STEP_SUMMARY"
