// SPDX-License-Identifier: GPL-2.0

#include <linux/lockdep.h>
#include <linux/nsproxy.h>
#include <linux/sockptr.h>
#include <linux/tcp.h>
#include <net/inet_connection_sock.h>
#include <net/tcp.h>
#include <net/tls.h>

#include "net.h"

struct net *hmdfs_helper_current_net(void)
{
	return current->nsproxy->net_ns;
}

struct net *hmdfs_helper_get_net(struct net *net)
{
	return get_net(net);
}

void hmdfs_helper_put_net(struct net *net)
{
	put_net(net);
}

struct net *hmdfs_helper_sock_net(struct socket *sock)
{
	return sock_net(sock->sk);
}

bool hmdfs_helper_sk_is_tcp(struct socket *sock)
{
	return sk_is_tcp(sock->sk);
}

bool hmdfs_helper_sk_is_established(struct socket *sock)
{
	return READ_ONCE(sock->sk->sk_state) == TCP_ESTABLISHED;
}

/* The socket must be a TCP one. */
bool hmdfs_helper_sk_has_tls(struct socket *sock)
{
	const struct tcp_ulp_ops *ops;
	bool tls;

	rcu_read_lock();
	ops = READ_ONCE(inet_csk(sock->sk)->icsk_ulp_ops);
	tls = ops && !strcmp(ops->name, "tls");
	rcu_read_unlock();
	return tls;
}

/* The socket must have TLS. */
bool hmdfs_helper_tls_has_keys(struct socket *sock, bool tx)
{
	struct tls_context *ctx;
	bool keys;

	lock_sock(sock->sk);
	ctx = tls_get_ctx(sock->sk);
	keys = ctx && (tx ? ctx->tx_conf : ctx->rx_conf) != TLS_BASE;
	release_sock(sock->sk);
	return keys;
}

/* The socket must have TLS. */
u16 hmdfs_helper_tls_version(struct socket *sock)
{
	struct tls_context *ctx;
	u16 version;

	lock_sock(sock->sk);
	ctx = tls_get_ctx(sock->sk);
	version = ctx ? ctx->prot_info.version : 0;
	release_sock(sock->sk);
	return version;
}

/* Without it records are decrypted into memory of their own and copied. */
void hmdfs_helper_tls_expect_no_pad(struct socket *sock)
{
	int one = 1;

	do_sock_setsockopt(sock, false, SOL_TLS, TLS_RX_EXPECT_NO_PAD,
			   KERNEL_SOCKPTR(&one), sizeof(one));
}

/*
 * Bytes that wait in the socket behind those that TCP keeps on their way: whoever has something
 * urgent to send waits for no more than these.
 */
#define HMDFS_NOTSENT_LOWAT	(64 * 1024)

/* The socket must have TLS. */
void hmdfs_helper_sock_adopt(struct socket *sock)
{
	struct sock *sk = sock->sk;

	lock_sock(sk);
	sk->sk_allocation = GFP_NOFS;
	sk->sk_use_task_frag = false;
	/* Whatever the previous owner preferred. */
	sk->sk_rcvlowat = 1;
	sk->sk_rcvtimeo = MAX_SCHEDULE_TIMEOUT;
	sk->sk_sndtimeo = MAX_SCHEDULE_TIMEOUT;
	WRITE_ONCE(tcp_sk(sk)->notsent_lowat, HMDFS_NOTSENT_LOWAT);
	release_sock(sk);
	tcp_sock_set_nodelay(sk);
}

/*
 * Sockets of user space share their lock classes with ours. Theirs may fault on
 * a user's page while locked, and ours may be needed to bring that page: lockdep
 * would see a circle where there are two different sockets. Classes of our own
 * are no way out, for the socket may outlive the module.
 */
int hmdfs_helper_hmdfs_sock_sendmsg(struct socket *sock, struct msghdr *msg)
{
	int sent;

	lockdep_off();
	sent = sock_sendmsg(sock, msg);
	lockdep_on();
	return sent;
}

u64 hmdfs_helper_tcp_bytes_acked(const struct sock *sk)
{
	return READ_ONCE(tcp_sk(sk)->bytes_acked);
}
