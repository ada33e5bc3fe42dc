/* SPDX-License-Identifier: GPL-2.0 */
#ifndef HMDFS_HELPERS_NET_H
#define HMDFS_HELPERS_NET_H

#include <linux/net.h>
#include <net/net_namespace.h>
#include <net/sock.h>

struct net *hmdfs_helper_current_net(void);
struct net *hmdfs_helper_get_net(struct net *net);
void hmdfs_helper_put_net(struct net *net);
struct net *hmdfs_helper_sock_net(struct socket *sock);
bool hmdfs_helper_sk_is_tcp(struct socket *sock);
bool hmdfs_helper_sk_is_established(struct socket *sock);
bool hmdfs_helper_sk_has_tls(struct socket *sock);
bool hmdfs_helper_tls_has_keys(struct socket *sock, bool tx);
u16 hmdfs_helper_tls_version(struct socket *sock);
void hmdfs_helper_tls_expect_no_pad(struct socket *sock);
void hmdfs_helper_sock_adopt(struct socket *sock);
int hmdfs_helper_hmdfs_sock_sendmsg(struct socket *sock, struct msghdr *msg);
u64 hmdfs_helper_tcp_bytes_acked(const struct sock *sk);

#endif /* HMDFS_HELPERS_NET_H */
