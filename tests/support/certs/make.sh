#!/bin/sh
# Makes the certificates of the tests anew: NAME.pem holds a certificate and its private key, a CA's only its certificate.
# Needs openssl 3; run it in this folder. They are valid until 2125, except those whose name says otherwise, and are good
# for nothing but these tests.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/ca.cnf" <<END
[ca]
default_ca = this
[this]
dir = $work
new_certs_dir = $work
database = $work/index
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
organizationName = optional
END
: > "$work/index"

key() {
  openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

sign() {
  openssl ca -batch -notext -config "$work/ca.cnf" "$@" 2> "$work/log" || { cat "$work/log"; exit 1; }
}

# authority NAME: its certificate begins long ago as well, whatever the clock of the machine says
authority() {
  key "$work/$1.key"
  openssl req -new -key "$work/$1.key" -out "$work/$1.csr" -subj "/CN=$1"
  printf 'basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n' > "$work/$1.ext"
  sign -selfsign -keyfile "$work/$1.key" -in "$work/$1.csr" -startdate $long_ago -enddate $far_off \
    -extfile "$work/$1.ext" -out "$1.pem"
}

# issue AUTHORITY NAME SUBJECT FROM UNTIL PURPOSE NAMES
issue() {
  key "$work/$2.key"
  openssl req -new -key "$work/$2.key" -out "$work/$2.csr" -subj "$3"
  printf 'extendedKeyUsage = %s\nsubjectAltName = @names\n[names]\n%b\n' "$6" "$7" > "$work/$2.ext"
  sign -cert "$1.pem" -keyfile "$work/$1.key" -in "$work/$2.csr" -startdate "$4" -enddate "$5" \
    -extfile "$work/$2.ext" -out "$work/$2.crt"
  cat "$work/$2.crt" "$work/$2.key" > "$2.pem"
}

long_ago=20000101000000Z
soon_after=20010101000000Z
far_off=21250101000000Z
later=21260101000000Z
here='DNS.1 = localhost\nIP.1 = 127.0.0.1\nIP.2 = ::1'
there='DNS.1 = words.example\nDNS.2 = *.words.example\nIP.1 = 10.9.8.7'
who='URI.1 = spiffe://example.org/worker\nDNS.1 = worker.example'

authority ca
authority other_ca
issue ca server /CN=server $long_ago $far_off serverAuth "$here"
issue ca server_renewed "/CN=server renewed" $long_ago $far_off serverAuth "$here"
issue ca server_elsewhere /CN=localhost $long_ago $far_off serverAuth "$there"
issue ca server_expired /CN=server $long_ago $soon_after serverAuth "$here"
issue ca server_too_early /CN=server $far_off $later serverAuth "$here"
issue ca server_as_client /CN=server $long_ago $far_off clientAuth "$here"
issue other_ca server_other_ca /CN=server $long_ago $far_off serverAuth "$here"
issue ca client "/O=Example/CN=worker 7" $long_ago $far_off clientAuth "$who"
issue ca client_expired /CN=worker $long_ago $soon_after clientAuth "$who"
issue ca client_too_early /CN=worker $far_off $later clientAuth "$who"
issue ca client_as_server /CN=worker $long_ago $far_off serverAuth "$who"
issue other_ca client_other_ca /CN=worker $long_ago $far_off clientAuth "$who"
# Names that read as two where nobody quotes them.
issue ca client_comma "/O=a,CN=admin/CN=worker, CN=admin" $long_ago $far_off clientAuth \
  'URI.1 = spiffe://example.org/a\\, DNS:admin.example\nDNS.1 = worker.example'
