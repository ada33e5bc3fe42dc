/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/hmdfs.yaml */
/* YNL-GEN kernel header */
/* To regenerate run: tools/netlink-codegen */

#ifndef _LINUX_HMDFS_GEN_H
#define _LINUX_HMDFS_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include "hmdfs_netlink.h"

int hmdfs_nl_instance_get_doit(struct sk_buff *skb, struct genl_info *info);
int hmdfs_nl_device_set_doit(struct sk_buff *skb, struct genl_info *info);
int hmdfs_nl_device_del_doit(struct sk_buff *skb, struct genl_info *info);
int hmdfs_nl_device_get_doit(struct sk_buff *skb, struct genl_info *info);
int hmdfs_nl_device_get_dumpit(struct sk_buff *skb,
			       struct netlink_callback *cb);
int hmdfs_nl_link_add_doit(struct sk_buff *skb, struct genl_info *info);
int hmdfs_nl_link_del_doit(struct sk_buff *skb, struct genl_info *info);
int hmdfs_nl_link_get_doit(struct sk_buff *skb, struct genl_info *info);
int hmdfs_nl_link_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);

enum {
	HMDFS_NLGRP_EVENTS,
};

extern struct genl_family hmdfs_nl_family;

#endif /* _LINUX_HMDFS_GEN_H */
