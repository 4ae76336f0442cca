/*
 * A Redis client over TLS whose OpenSSL is linked in statically: static_tls PORT connects to 127.0.0.1, and for each line that it
 * reads asks for a PING.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	SSL *ssl = SSL_new(SSL_CTX_new(TLS_client_method()));
	char answer[64];

	if (count < 2)
		return 2;
	at.sin_port = htons(atoi(words[1]));
	if (connect(fd, (void *)&at, sizeof(at)) || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1)
		return 1;
	puts("ready");
	fflush(stdout);
	while (getchar() == '\n') {
		if (SSL_write(ssl, "PING\r\n", 6) != 6 || SSL_read(ssl, answer, sizeof(answer)) != 7)
			return 1;
		puts("done");
		fflush(stdout);
	}
	return 0;
}
