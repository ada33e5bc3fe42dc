// SPDX-License-Identifier: GPL-2.0
/*
 * From the generated table of operations to Rust: the command says which one it
 * is, so that all of them share two functions.
 */

#include "netlink.h"
#include "netlink_gen.h"

#define HMDFS_DOIT(name)							\
	int hmdfs_nl_##name##_doit(struct sk_buff *skb, struct genl_info *info)	\
	{									\
		return hmdfs_netlink_doit(info);				\
	}

#define HMDFS_DUMPIT(name)							\
	int hmdfs_nl_##name##_dumpit(struct sk_buff *skb,			\
				     struct netlink_callback *cb)		\
	{									\
		return hmdfs_netlink_dumpit(skb, cb);				\
	}

HMDFS_DOIT(instance_get)
HMDFS_DOIT(device_set)
HMDFS_DOIT(device_del)
HMDFS_DOIT(device_get)
HMDFS_DUMPIT(device_get)
HMDFS_DOIT(link_add)
HMDFS_DOIT(link_del)
HMDFS_DOIT(link_get)
HMDFS_DUMPIT(link_get)
