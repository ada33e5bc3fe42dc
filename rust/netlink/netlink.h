/* SPDX-License-Identifier: GPL-2.0 */
#ifndef HMDFS_NETLINK_H
#define HMDFS_NETLINK_H

#include <net/genetlink.h>

/* In rust/kapi/netlink.rs. */
int hmdfs_netlink_doit(struct genl_info *info);
int hmdfs_netlink_dumpit(struct sk_buff *skb, struct netlink_callback *cb);

#endif /* HMDFS_NETLINK_H */
