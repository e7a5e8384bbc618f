"""CatBoost's own names of its parameters, so that a misspelt one is refused without importing CatBoost.

Generated: `python -m tests.support.catboost_parameters > ml_assets/spec/model/catboost_parameters.py`.
"""

SHARED = frozenset(
    """
    allow_const_label allow_writing_files approx_on_full_history bagging_temperature best_model_min_trees
    boost_from_average boosting_type bootstrap_type border_count cat_features colsample_bylevel combinations_ctr
    counter_calc_method ctr_description ctr_history_unit ctr_leaf_count_limit ctr_target_border_count custom_metric
    data_partition depth dev_efb_max_buckets dev_score_calc_obj_block_size device_config devices dictionaries
    diffusion_temperature early_stopping_rounds embedding_features eta eval_fraction eval_metric feature_border_type
    feature_calcers feature_weights final_ctr_computation_mode first_feature_use_penalties fixed_binary_splits
    fold_len_multiplier fold_permutation_block gpu_cat_features_storage gpu_ram_part grow_policy has_time
    ignored_features input_borders iterations l2_leaf_reg langevin leaf_estimation_backtracking
    leaf_estimation_iterations leaf_estimation_method learning_rate logging_level loss_function max_bin
    max_ctr_complexity max_depth max_leaves metadata metric_period min_child_samples min_data_in_leaf
    model_shrink_mode model_shrink_rate model_size_reg monotone_constraints mvs_reg n_estimators name nan_mode
    num_boost_round num_leaves num_trees objective od_pval od_type od_wait one_hot_max_size output_borders
    penalties_coefficient per_feature_ctr per_float_feature_quantization per_object_feature_penalties
    pinned_memory_size posterior_sampling random_score_type random_seed random_state random_strength reg_lambda rsm
    sampling_frequency sampling_unit save_snapshot score_function silent simple_ctr snapshot_file snapshot_interval
    sparse_features_conflict_fraction store_all_simple_ctr subsample target_border task_type text_features
    text_processing thread_count tokenizers train_dir use_best_model used_ram_limit verbose
    """.split()  # noqa: SIM905
)
"""Taken by classifiers and regressors."""
CLASSIFIER = frozenset(
    """
    auto_class_weights callback class_names class_weights classes_count custom_loss scale_pos_weight
    """.split()  # noqa: SIM905
)
"""Taken by classifiers alone."""
