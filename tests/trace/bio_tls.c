/*
 * A Redis client over TLS that uses no SSL_read and no SSL_write, but OpenSSL's BIO_f_ssl: bio_tls PORT connects to
 * 127.0.0.1, and asks for three PINGs.
 */
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdio.h>

int main(int count, char **words)
{
	BIO *bio = BIO_new_ssl_connect(SSL_CTX_new(TLS_client_method()));
	char at[32], answer[64];

	if (count < 2)
		return 2;
	snprintf(at, sizeof(at), "127.0.0.1:%s", words[1]);
	BIO_set_conn_hostname(bio, at);
	if (BIO_do_connect(bio) != 1 || BIO_do_handshake(bio) != 1)
		return 1;
	for (int i = 0; i < 3; i++)
		if (BIO_write(bio, "PING\r\n", 6) != 6 || BIO_read(bio, answer, sizeof(answer)) != 7)
			return 1;
	BIO_free_all(bio);
	return 0;
}
